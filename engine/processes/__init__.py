"""Child processes: started on free ports, waited for, watched, and ended with the process that started them.

May import: leaves.
"""
