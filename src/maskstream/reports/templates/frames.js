"use strict";

/* a tick of a film leads to its picture */
