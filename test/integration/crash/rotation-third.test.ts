import { crashSuite } from '../../crash/rotation-suite.ts';
import { kindCases } from '../../kinds/cases.ts';

// Every third kind, from the third: three files, so that they run side by side.
crashSuite(kindCases.filter((_, index) => index % 3 === 2));
