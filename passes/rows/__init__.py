"""Row programs: softmax, normalisations and reductions, one row at a time, in as few sweeps over it as it takes.

`recognise` finds runs of linalg ops that share their rows, `plan` distributes them over sweeps, `emit` writes loops.
"""
