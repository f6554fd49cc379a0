"""What the runs say: tidy frames, statistics, verdicts on claims, and tables.

No module here loads matplotlib or torch. Pictures of the same numbers are made in `partage.plots`.
"""
