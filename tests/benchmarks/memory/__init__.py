"""The memory of the whole way to a published file, on splits that are maps of files: 200,000 images of 8x8.

`many_digits` makes the rows and is the workload, `whole_way` is the program whose memory is read, `watching` reads it.
"""
