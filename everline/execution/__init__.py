"""Running a pipeline in this process: compile, choose the stack, execute the graph, record what happens.

Start reading at `engine.py`. Nothing here needs a server in reach: commands go through `everline.sending`.
"""
