"""The loops of delivery on a log in memory and a target that a test answers for."""
