// On every object that a program of ours makes by itself, so that uninstalling finds it again.
export const MADE_BY_US = Object.freeze({ 'app.kubernetes.io/part-of': 'outrigger' });
