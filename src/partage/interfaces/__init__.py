"""The environments as users of other frameworks know them: `pettingzoo` for all families, `smac` for the battles."""
