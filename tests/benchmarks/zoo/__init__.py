"""The zoo: many architectures through the pipeline's steps, beside torch-pruning alone and `quantize_static` alone.

`models` has the architectures, `measured` what is done with each in a process of its own. The program starts these
processes, keeps what each found, and writes the table.
"""
