using Kvcached.Cli;

return await KvctlApp.Create().RunAsync(args);
