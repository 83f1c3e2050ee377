"""Where deliveries and the files of runs lie: in the data folder, or in a store that many machines reach."""
