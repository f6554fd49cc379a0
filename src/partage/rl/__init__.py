"""Reinforcement learning that is no algorithm's own: collecting experience, keeping it, learning.

`rollout` plays episodes and segments with a policy, `replay` keeps episodes, `exploration` makes
choices at random now and then, `losses` are targets and losses, `noise` draws random numbers. On
a card `on_card` plays and `card_replay` keeps; `graphs` captures, and `to_host` brings what counts.
"""
