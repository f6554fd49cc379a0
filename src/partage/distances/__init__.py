"""How far apart agents' policies are, and the code that the distance is measured in."""
