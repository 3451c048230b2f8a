"""Contractions (matrix products, convolutions, attention scores …) as loop nests around a register tile.

recognise   linalg.generic -> Contraction: for each operand, how far it moves in memory when a loop advances
choose      the table of schedules, and those that fit a contraction, by cost
plans       for each schedule: whether it fits, its tile and its blocks; what all of them cost (plans/cost)
emitter     loops, views and vectors as ops
epilogue    what is computed of each sum, to be done in the register tile
result      where finished sums go
panels      packing: blocks of a factor in the order in which tiles read them
tiles       register tiles of the processor's matrix unit (dialect `amx`)
dots        which contractions have an instruction for groups of products
grouped     the register tile made of that instruction
tile        the register tile: accumulators carried by the reduction loops
planes      images padded part by part, in the loop that reads them
direct      register tiles over the operands where they lie
sweep       few rows times a large matrix, which is read once, in order
panelled    rows times a factor that lies in panels already
blocked     cache blocks and packed panels (GotoBLAS)
blocks_of_sums  sums of blocks of steps, from one block to the next
dot         vectors along the reduction
flatten     several short loops copied together into one long one (im2col), then any of the others
winograd    3x3 convolutions by transformed tiles and filters
transpose   square blocks of vectors
lower       the pass
"""
