"""What would bring an alarm to its target: deadbands and delays, each tried on the sensor's stored readings.

May import: figures, contract, wire, native.
"""
