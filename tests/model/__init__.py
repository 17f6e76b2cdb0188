"""The function among everything that can go wrong, on one virtual clock and in one deterministic order."""
