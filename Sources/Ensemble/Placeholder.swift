// Ensemble
