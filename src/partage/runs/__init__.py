"""Runs: trained, measured, recorded, evaluated, verified, exported and imported."""
