"""From a queue to the facilities: messages under lock, decoded, handed over, settled once what they bring is stored.

May import: facility, historian, placement, leaves, native.
"""
