"""Pure numerics: binning, pair statistics, covariance, nulls and effect sizes. Arrays in, arrays out."""
