import { tortureRuns } from './runs.ts';

tortureRuns('odd');
