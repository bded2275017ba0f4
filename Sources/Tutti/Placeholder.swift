// Tutti
