#include "tests/unit/compose/fixture.h"
