#include "CTuttiKernels.h"
