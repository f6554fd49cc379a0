"""Pictures of what the analysis found, with matplotlib; nothing here loads torch.

Drawing the same numbers twice gives the same bytes: the generators of intervals are seeded by a
curve's name, SVG ids by a fixed salt, and no file carries a date.
"""
