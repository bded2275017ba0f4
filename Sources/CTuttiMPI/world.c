#include "CTuttiMPI.h"
