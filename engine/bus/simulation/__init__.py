"""A simulated field: facilities, realistic signals, planted faults. Pure computation; one seed is one field."""
