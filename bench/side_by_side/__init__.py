"""What people would otherwise write, beside Autoload, against the same simulator and in the same troubles."""
