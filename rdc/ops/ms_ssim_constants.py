"""Constants of MS-SSIM, for the metric and for the differentiable one. No JAX here.

Wang et al. 2003: five scales, a Gaussian window of 11 taps.
"""

MS_SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW_TAPS = 11
WINDOW_SIGMA = 1.5
# 161: the window has a valid position at the fifth scale.
MS_SSIM_MIN_SIDE_PX = (WINDOW_TAPS - 1) * 2 ** (len(MS_SSIM_WEIGHTS) - 1) + 1
LUMINANCE_CONSTANT = (0.01 * 255) ** 2
CONTRAST_CONSTANT = (0.03 * 255) ** 2
