/**
 * The operator's page: charts follow the board, which htmx fetches again when the line reports something.
 */

import { drawCharts } from "./charts/chart.js";

drawCharts();
document.addEventListener("htmx:afterSettle", () => drawCharts());
