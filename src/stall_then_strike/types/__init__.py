"""Values only: what the other layers hand to each other. No I/O, no clock, no behaviour beyond arithmetic."""
