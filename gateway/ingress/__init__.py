"""The switch's door: tokens, pushes, and the intake that commits them before they are answered."""
