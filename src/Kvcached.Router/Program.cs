using System.Reflection;
using Kvcached.Router.Configuration;
using Kvcached.Router.Startup;

if (args is ["--help" or "-h"])
{
    Console.Out.Write(RouterCommandLine.Help);
    return 0;
}

if (args is ["--version"])
{
    Console.Out.WriteLine(Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0]);
    return 0;
}

return await RouterProcess.RunAsync(args, CancellationToken.None);
