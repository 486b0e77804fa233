"""The report: one page of HTML with all figures and tables of a study, that opens from disk without a network.

`page` puts it together from `pictures` (figures as small files), `numbers` (tables), `facts` (what was run) and `graph`
(the rules of the workflow). What it looks like is in workflow/report: a template, a style sheet and a script.
"""
