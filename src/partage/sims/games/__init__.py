"""Games whose best return is known for any sharing: what is played, its rules, its ceilings."""
