"""Particle spread, as MPE has it."""
