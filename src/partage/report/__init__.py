"""The report: one HTML page of all that there is of a plan, made from a template.

`build` gathers what the page shows, `sections` that of each figure, `inventory` what runs there
are, `provenance` what they cost and where they come from; ``page.html.j2`` says it in HTML.
"""
