"""What is wrong with a dataset, and mending what needs no judgement."""
