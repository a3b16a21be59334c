/**
 * Charts of the reports pages, redrawn after every refresh.
 */

import { drawCharts } from "./charts/chart.js";

drawCharts();
document.addEventListener("htmx:afterSettle", () => drawCharts());
