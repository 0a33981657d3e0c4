import { tortureRuns } from './runs.ts';

tortureRuns('even');
