-- stands for the step that comes before, in a tree that has not got it yet
SELECT 1;
