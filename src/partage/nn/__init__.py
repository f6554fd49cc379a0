"""Networks of many agents side by side, in torch: which parameters an agent uses is an assignment.

`bank` holds the parameter sets of one layer, `dense` brings rows through several of them, `gru`
through time, `routing` sorts rows whose set changes from instant to instant. `networks` and `mixer`
are made of these; `optimiser` trains them.
"""
