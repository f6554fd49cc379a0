"""Who shares parameters with whom, and the rules that move it: tensors in, tensors out."""
