"""Codecs overfitted to each image: a small decoder and its latents are the file.

The class of COOL-CHIC (Ladune et al. 2023, arXiv 2212.05458) and C3 (Kim et al. 2024,
arXiv 2312.02753): per image, a pyramid of latents, an autoregressive entropy network,
an upsampling and a synthesis are optimised together for the RD loss.
"""
