"""Environment to typed settings: read once, at cold start, and refused with the variable's name when wrong."""
