"""Offer our environments by the interfaces of others: PettingZoo, and SMAC's `StarCraft2Env`."""
