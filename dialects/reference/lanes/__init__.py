"""The GPU interpreter: what a kernel means, computed with NumPy for many threads at once.

The threads of a group of blocks go through the kernel together, one lane each. A branch or a loop that some of them
do not take is run with the lanes that do. Values, by type:

    T, index, i1       a NumPy scalar where all lanes have the same, else an array with one element for each lane
    vector<..xT>       an array of the vector's shape, or with a first axis of lanes
    memref<..xT>       a `View`: where in which memory, for each lane

Reported, with the op's place and the thread: an access out of bounds, two accesses of different threads to one place
that nothing orders and of which one is a write, a barrier or a shuffle that some of its threads do not come to, and a
wait for a phase of an mbarrier that does not end. Copies by `cp.async`, or by the tensor memory engine, are made when
they are waited for. Warps of a kernel that waits for mbarriers are strands of their own: see `strands.py`.
"""
