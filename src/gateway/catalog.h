// SPDX-License-Identifier: Apache-2.0
// /v2/_catalog: the repositories that the caller may see, out of our catalogue and not the registry's, which would list what
// is nobody's business and cannot be asked for a part.
#ifndef HARBINGER_GATEWAY_CATALOG_H
#define HARBINGER_GATEWAY_CATALOG_H

#include "gateway/gateway_internal.h"

enum { CATALOG_PAGE = 100, CATALOG_MAX_PAGE = 1000 }; // `n` by default and at most

// Reads the page into visit->catalog_page and _link. A pool thread. Not 0: visit->code and ->err say why.
int catalog_read(struct visit *visit, struct store_conn *conn) MUST_CHECK;
void catalog_answer(struct visit *visit); // serve loop

#endif
