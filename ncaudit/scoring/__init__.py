"""What every scorer takes and gives: pairs, fits, folds, fusion, posteriors, same photos. Knows no scorer."""
