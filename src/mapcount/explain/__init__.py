"""The questions of the thread, each with an answer and with evidence that is found anew whenever somebody asks.

A question is a file in `questions/` and a line in `catalogue.py`. Nothing here prints.
"""
